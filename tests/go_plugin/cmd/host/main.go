// Command host starts and stops the key-value plugin with go-plugin's own client and prints, as one JSON line per
// cycle, what that took: the yardstick for other hosts. Arguments after the flags are mode words for the plugin. With
// -at-once a cycle is one of several plugins that live at the same time.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
)

func main() {
	path := flag.String("plugin", "", "path of the plugin (required)")
	cycles := flag.Int("n", 20, "measured cycles")
	warmup := flag.Int("warmup", 2, "cycles before those, not printed")
	mtls := flag.Bool("mtls", false, "AutoMTLS")
	atOnce := flag.Int("at-once", 1, "plugins that live at the same time")
	flag.Parse()
	if *path == "" {
		fmt.Fprintln(os.Stderr, "host: -plugin is missing; it takes the path of the built kv plugin")
		os.Exit(2)
	}
	if err := run(launch{path: *path, words: flag.Args(), mtls: *mtls}, *atOnce, *cycles, *warmup); err != nil {
		fmt.Fprintf(os.Stderr, "host: %v\n", err)
		os.Exit(1)
	}
}

func run(chosen launch, atOnce, cycles, warmup int) error {
	lines := json.NewEncoder(os.Stdout)
	for number := -warmup; number < cycles; number++ {
		measured, err := cycle(chosen, atOnce)
		if err != nil {
			return fmt.Errorf("cycle %d: %w", number, err)
		}
		if number < 0 {
			continue
		}
		measured.Cycle = number
		if err := lines.Encode(measured); err != nil {
			return err
		}
	}
	return nil
}
