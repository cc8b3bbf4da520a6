package kvplugin

import (
	"bytes"
	"io"
	"os"

	"ferrule.example/goplugin/kvpb"
)

const (
	lineBytes = 100
	// Flooding goes out in pieces of this many lines, so that a gigabyte of noise does not need a gigabyte of memory.
	linesPerWrite = 655
)

// File descriptors 1 and 2. go-plugin replaces the variables os.Stdout and os.Stderr while it serves, so they are
// remembered before that.
var (
	descriptor1 = os.Stdout
	descriptor2 = os.Stderr
)

func makeNoise(request *kvpb.NoiseRequest) error {
	if err := writeLines(descriptor1, request.GetStdoutBytes()); err != nil {
		return err
	}
	if err := writeLines(descriptor2, request.GetStderrBytes()); err != nil {
		return err
	}
	if size := request.GetStderrLineBytes(); size != 0 {
		if _, err := descriptor2.Write(append(bytes.Repeat([]byte("x"), int(size)), '\n')); err != nil {
			return err
		}
	}
	for _, line := range request.GetStderrLines() {
		if _, err := descriptor2.WriteString(line + "\n"); err != nil {
			return err
		}
	}
	if _, err := os.Stdout.WriteString(request.GetSyncedStdout()); err != nil {
		return err
	}
	_, err := os.Stderr.WriteString(request.GetSyncedStderr())
	return err
}

// writeLines writes count bytes in lines of 100 bytes, the last one shorter where they do not divide.
func writeLines(output io.Writer, count uint64) error {
	line := append(bytes.Repeat([]byte("x"), lineBytes-1), '\n')
	block := bytes.Repeat(line, linesPerWrite)
	for size := uint64(len(block)); count >= size; count -= size {
		if _, err := output.Write(block); err != nil {
			return err
		}
	}
	// The end of a block is whole lines; what is cut off is the beginning of the first one.
	_, err := output.Write(block[uint64(len(block))-count:])
	return err
}
