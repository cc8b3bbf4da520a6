package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

const longLineBytes = 10_000_000

// noiseNoNewlineExit ends after its bytes; the process stays after all others.
const noiseNoNewlineExit = "no-newline-exit"

// noises are what may stand on stdout in place of a handshake line.
var noises = map[string]func() []byte{
	// Bytes that start no UTF-8 character, and two control characters that a terminal acts on.
	"garbage":          func() []byte { return append(bytes.Repeat([]byte("\x80\xc0\xaf\xfe\xff\x1b\a"), 32), '\n') },
	"long":             func() []byte { return append(bytes.Repeat([]byte("x"), longLineBytes), '\n') },
	"nul":              func() []byte { return []byte("1|1|unix|/tmp/\x00plugin\x00|grpc|\n") },
	"latin1":           func() []byte { return []byte("d\xe9marrage du greffon\n") },
	noiseNoNewlineExit: func() []byte { return []byte("a line without an end") },
}

func noiseNames() string {
	return strings.Join(slices.Sorted(maps.Keys(noises)), "|")
}

// startBadly carries out the modes in which the plugin never serves; for the others it returns.
func startBadly(chosen modes) {
	switch {
	case chosen.exit != nil:
		fmt.Fprintf(os.Stderr, "ending with status %d before the handshake\n", *chosen.exit)
		os.Exit(*chosen.exit)
	case chosen.exitZeroSilent:
		os.Exit(0)
	case chosen.hang:
		waitToBeKilled()
	case chosen.rawLine != nil:
		fmt.Println(*chosen.rawLine)
		waitToBeKilled()
	case chosen.noise != "":
		if _, err := os.Stdout.Write(noises[chosen.noise]()); err != nil {
			fail("writing noise", err)
		}
		if chosen.noise == noiseNoNewlineExit {
			os.Exit(0)
		}
		waitToBeKilled()
	}
}

// waitToBeKilled blocks in a timer: the runtime ends a process whose goroutines all wait for each other.
func waitToBeKilled() {
	for {
		time.Sleep(time.Hour)
	}
}
