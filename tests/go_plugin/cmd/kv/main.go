// Command kv is the key-value plugin of the tests, on unmodified go-plugin. Mode words on its command line make it
// deviate from a well-behaved plugin; an unknown word prints their list.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

const usageStatus = 2

func main() {
	chosen, err := parseModes(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "%v\n\n%s", err, usage())
		os.Exit(usageStatus)
	}
	if chosen.grandchild {
		startGrandchild()
	}
	if chosen.ignoreSIGTERM {
		// Caught and dropped instead of ignored: an ignored signal would stay ignored in a grandchild.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
	}
	startBadly(chosen)
	if chosen.noCert {
		if err := os.Unsetenv("PLUGIN_CLIENT_CERT"); err != nil {
			fail("forgetting the host's certificate", err)
		}
	}
	for range chosen.banner {
		fmt.Println("a stray line before the handshake")
	}
	if chosen.tcp || chosen.differentCert || chosen.expiredCert {
		serveAnnounced(chosen)
		return
	}
	serveStock(chosen)
}

// startGrandchild leaves a process behind that holds the plugin's output streams open.
func startGrandchild() {
	child := exec.Command("sleep", "600")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		fail("starting the grandchild", err)
	}
	fmt.Fprintf(os.Stderr, "grandchild pid %d\n", child.Process.Pid)
}

func fail(action string, err error) {
	fmt.Fprintf(os.Stderr, "%s failed: %v\n", action, err)
	os.Exit(1)
}
