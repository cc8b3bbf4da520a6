package main

import (
	"encoding/hex"
	"runtime"
	"slices"
	"syscall"

	"github.com/zclconf/go-cty/cty/msgpack"
)

// Nanoseconds that a measurement takes at least: the clock is a coarse one.
const shortest = 50_000_000

// measure answers with the nanoseconds of CPU time that encoding and decoding a value takes.
func measure(q question) answer {
	of, data := typeOf(q.Type), must(hex.DecodeString(q.Data))
	value := must(msgpack.Unmarshal(data, of))
	return answer{
		"encode": median(q.Repetitions, func() { must(msgpack.Marshal(value, of)) }),
		"decode": median(q.Repetitions, func() { must(msgpack.Unmarshal(data, of)) }),
	}
}

// spent is the CPU time of the process so far, in nanoseconds, that of the garbage collector included.
func spent() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func timed(times int, call func()) int64 {
	begin := spent()
	for range times {
		call()
	}
	return spent() - begin
}

func median(repetitions int, call func()) float64 {
	times := 1
	for timed(times, call) < shortest {
		times *= 2
	}
	var found []float64
	for range repetitions {
		runtime.GC()
		found = append(found, float64(timed(times, call))/float64(times))
	}
	slices.Sort(found)
	return found[len(found)/2]
}
