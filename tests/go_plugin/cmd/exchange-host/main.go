// Command exchange-host drives a plugin of the broker tests with go-plugin's own client: sums that the plugin has the
// host work out, then exchanges, each of which is one brokered connection either way. It prints one JSON line and ends
// with status 0 only if everything went well. Arguments after the flags are the plugin's; where the first of them is a
// flag of the plugin, -- stands before it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
)

// usageStatus is the exit status for a wrong command line.
const usageStatus = 2

func main() {
	var chosen launch
	flag.StringVar(&chosen.path, "plugin", "", "path of the plugin (required)")
	flag.BoolVar(&chosen.mtls, "mtls", false, "AutoMTLS")
	flag.BoolVar(&chosen.multiplex, "mux", false, "multiplex brokered connections over the plugin's one socket")
	flag.BoolVar(&chosen.log, "stderr", false, "write go-plugin's log, the plugin's among it, to standard error")
	exchanges := flag.Int("exchanges", 1, "exchanges, not counting one before them")
	concurrency := flag.Int("concurrency", 1, "exchanges at a time")
	flag.Parse()
	chosen.arguments = flag.Args()
	if chosen.path == "" || *exchanges < 0 || *concurrency < 1 {
		fmt.Fprintf(os.Stderr, "exchange-host: -plugin %q, -exchanges %d, -concurrency %d: expected a path, at least 0"+
			" and at least 1\n", chosen.path, *exchanges, *concurrency)
		os.Exit(usageStatus)
	}
	result := run(chosen, *exchanges, *concurrency)
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fmt.Fprintf(os.Stderr, "exchange-host: %v\n", err)
		os.Exit(1)
	}
	if len(result.Errors) != 0 {
		os.Exit(1)
	}
}

// run always stops the plugin and answers a report, which holds whatever went wrong.
func run(chosen launch, exchanges, concurrency int) *report {
	result := &report{Exchanges: exchanges, Errors: []string{}}
	command := chosen.command()
	client := chosen.client(command)
	result.add(drive(client, result, concurrency))
	client.Kill()
	if state := command.ProcessState; state != nil && !state.Success() {
		result.add(fmt.Errorf("the plugin should have ended by itself with status 0, but ended with: %v", state))
	}
	return result
}
