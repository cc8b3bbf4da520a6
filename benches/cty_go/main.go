// Command cty_go measures go-cty for benches/cty.py: it reads one question in JSON, and prints the CPU time in
// nanoseconds that encoding and decoding took, the median of the repetitions.
package main

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"syscall"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/msgpack"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// spent is the process's CPU time so far, in nanoseconds: the garbage collector's is part of it.
func spent() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func median(repetitions int, call func()) float64 {
	// Short calls are repeated, for the clock is a coarse one.
	times := 1
	for {
		begin := spent()
		for range times {
			call()
		}
		if spent()-begin > 50_000_000 {
			break
		}
		times *= 2
	}
	var found []float64
	for range repetitions {
		runtime.GC()
		begin := spent()
		for range times {
			call()
		}
		found = append(found, float64(spent()-begin)/float64(times))
	}
	slices.Sort(found)
	return found[len(found)/2]
}

func main() {
	var question struct {
		Type        string
		Data        string
		Repetitions int
	}
	if err := json.NewDecoder(os.Stdin).Decode(&question); err != nil {
		panic(err)
	}
	var of cty.Type
	if err := json.Unmarshal([]byte(question.Type), &of); err != nil {
		panic(err)
	}
	data := must(hex.DecodeString(question.Data))
	value := must(msgpack.Unmarshal(data, of))
	answer := map[string]float64{
		"encode": median(question.Repetitions, func() { must(msgpack.Marshal(value, of)) }),
		"decode": median(question.Repetitions, func() { must(msgpack.Unmarshal(data, of)) }),
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		panic(err)
	}
}
