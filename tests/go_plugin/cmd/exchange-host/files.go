package main

import (
	"context"
	"fmt"
	"time"

	"ferrule.example/goplugin/exchangepb"
	"ferrule.example/goplugin/exchangeplugin"
)

// settle answers what the plugin holds open more than before, once that is nothing or it had time enough to let go.
func settle(dispensed exchangeplugin.Client, before files) (files, error) {
	for deadline := time.Now().Add(settleTimeout); ; time.Sleep(settlePoll) {
		now, err := openFiles(dispensed)
		if err != nil {
			return files{}, err
		}
		left := files{Descriptors: now.Descriptors - before.Descriptors, Sockets: now.Sockets - before.Sockets}
		if left.Descriptors <= 0 && left.Sockets <= 0 || time.Now().After(deadline) {
			return left, nil
		}
	}
}

func openFiles(dispensed exchangeplugin.Client) (files, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	answer, err := dispensed.Files(ctx, &exchangepb.FilesRequest{})
	if err != nil {
		return files{}, fmt.Errorf("files: %w", err)
	}
	return files{Descriptors: int(answer.GetDescriptors()), Sockets: int(answer.GetSockets())}, nil
}
