package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// modes is what the mode words on the command line chose; its zero value with version 1 is a well-behaved plugin.
type modes struct {
	versions []int
	netRPC   bool
	userTLS  string
	tcp      bool

	differentCert bool
	expiredCert   bool
	noCert        bool

	banner         int
	noise          string
	hang           bool
	exit           *int
	exitZeroSilent bool
	rawLine        *string
	grandchild     bool
	hangShutdown   bool
	ignoreShutdown bool
	ignoreSIGTERM  bool
	test           bool
	maxAge         time.Duration
	journal        string
}

// modeWord is one row of the table; value shows the form of what follows the equals sign, empty for a bare word.
type modeWord struct {
	name        string
	value       string
	explanation string
	choose      func(chosen *modes, value string) error
}

var modeWords = []modeWord{
	{"versions", "3,5,7", "application versions served (default 1)", chooseVersions},
	{"netrpc", "", "serve Go's net/rpc only", bare(func(m *modes) *bool { return &m.netRPC })},
	{"user-tls", "DIR", "TLS from DIR/server.pem, server.key and ca.pem; the client needs a certificate of that CA",
		func(m *modes, value string) error { m.userTLS = value; return nil }},
	{"tcp", "", "listen on 127.0.0.1 instead of a Unix socket", bare(func(m *modes) *bool { return &m.tcp })},
	{"different-cert", "", "announce another certificate than the one served",
		bare(func(m *modes) *bool { return &m.differentCert })},
	{"expired-cert", "", "announce and serve a certificate that expired yesterday",
		bare(func(m *modes) *bool { return &m.expiredCert })},
	{"no-cert", "", "stay plaintext although PLUGIN_CLIENT_CERT is set", bare(func(m *modes) *bool { return &m.noCert })},
	{"banner", "N", "print N stray lines before the handshake line",
		func(m *modes, value string) (err error) { m.banner, err = strconv.Atoi(value); return err }},
	{"noise-start", noiseNames(), "print that instead of a handshake line and serve nothing", chooseNoise},
	{"raw-line", "TEXT", "print TEXT as the handshake line and serve nothing",
		func(m *modes, value string) error { m.rawLine = &value; return nil }},
	{"hang", "", "print nothing and serve nothing", bare(func(m *modes) *bool { return &m.hang })},
	{"exit", "N", "print one line on stderr and exit with status N", chooseExit},
	{"exit-zero-silent", "", "exit with status 0, printing nothing",
		bare(func(m *modes) *bool { return &m.exitZeroSilent })},
	{"grandchild", "", "leave a process behind that holds stdout and stderr open; its pid goes to stderr",
		bare(func(m *modes) *bool { return &m.grandchild })},
	{"hang-shutdown", "", "never answer Shutdown and keep running", bare(func(m *modes) *bool { return &m.hangShutdown })},
	{"ignore-shutdown", "", "answer Shutdown and keep running", bare(func(m *modes) *bool { return &m.ignoreShutdown })},
	{"max-age", "100ms", "end each connection in order after that time, whatever calls it has",
		func(m *modes, value string) (err error) { m.maxAge, err = time.ParseDuration(value); return err }},
	{"journal", "FILE", "append a line to FILE as each Put begins, and one before it answers",
		func(m *modes, value string) error { m.journal = value; return nil }},
	{"ignore-sigterm", "", "keep running on SIGTERM", bare(func(m *modes) *bool { return &m.ignoreSIGTERM })},
	{"test", "", "serve in go-plugin's test mode until SIGTERM; the reattach configuration goes to stdout",
		bare(func(m *modes) *bool { return &m.test })},
}

func parseModes(words []string) (modes, error) {
	chosen := modes{versions: []int{1}}
	for _, word := range words {
		if err := choose(&chosen, word); err != nil {
			return modes{}, err
		}
	}
	return chosen, nil
}

func choose(chosen *modes, word string) error {
	name, value, given := strings.Cut(word, "=")
	for _, row := range modeWords {
		if row.name != name {
			continue
		}
		if given != (row.value != "") {
			return fmt.Errorf("mode word %q should read %q", word, row.form())
		}
		if err := row.choose(chosen, value); err != nil {
			return fmt.Errorf("mode word %q should read %q: %w", word, row.form(), err)
		}
		return nil
	}
	return fmt.Errorf("unknown mode word %q", word)
}

func (row modeWord) form() string {
	if row.value == "" {
		return row.name
	}
	return row.name + "=" + row.value
}

func usage() string {
	var text strings.Builder
	text.WriteString("mode words, in any combination that makes sense:\n")
	for _, row := range modeWords {
		fmt.Fprintf(&text, "  %-52s  %s\n", row.form(), row.explanation)
	}
	return text.String()
}

func bare(field func(*modes) *bool) func(*modes, string) error {
	return func(chosen *modes, _ string) error {
		*field(chosen) = true
		return nil
	}
}

func chooseVersions(chosen *modes, value string) error {
	chosen.versions = nil
	for item := range strings.SplitSeq(value, ",") {
		version, err := strconv.Atoi(item)
		if err != nil {
			return err
		}
		chosen.versions = append(chosen.versions, version)
	}
	return nil
}

func chooseNoise(chosen *modes, value string) error {
	if _, known := noises[value]; !known {
		return fmt.Errorf("unknown noise %q", value)
	}
	chosen.noise = value
	return nil
}

func chooseExit(chosen *modes, value string) error {
	status, err := strconv.Atoi(value)
	chosen.exit = &status
	return err
}
