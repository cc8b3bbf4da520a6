package main

import (
	"context"
	"fmt"
	"os"

	"google.golang.org/grpc"

	"ferrule.example/goplugin/kvpb"
)

const journalMode = 0o600

// journalPuts writes down what really happened to each Put, for the comparison with what its caller was told: a line as
// it begins, and one between its end and its answer. Each line is one write to a file opened for appending, so that
// several plugins share a journal, and a SIGKILL leaves whole lines.
func journalPuts(path string) grpc.UnaryServerInterceptor {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, journalMode)
	if err != nil {
		fail("opening the journal", err)
	}
	return func(
		ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		put, isPut := request.(*kvpb.PutRequest)
		if !isPut {
			return handler(ctx, request)
		}
		if _, err := fmt.Fprintf(file, "begin %s\n", put.GetKey()); err != nil {
			return nil, err
		}
		response, err := handler(ctx, request)
		if err != nil {
			return nil, err
		}
		if _, err := fmt.Fprintf(file, "end %s\n", put.GetKey()); err != nil {
			return nil, err
		}
		return response, nil
	}
}
