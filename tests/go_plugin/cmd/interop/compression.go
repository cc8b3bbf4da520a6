package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// service adds to grpc-go's implementation what that leaves out: whether a request came compressed, and whether a unary
// response shall be. Compressing single messages of a stream is beyond grpc-go's server interface.
type service struct {
	grpc_testing.TestServiceServer
}

// UnaryCall checks expect_compressed and obeys response_compressed.
func (s service) UnaryCall(
	ctx context.Context, in *grpc_testing.SimpleRequest,
) (*grpc_testing.SimpleResponse, error) {
	if err := checkCompressed(ctx, in.GetExpectCompressed()); err != nil {
		return nil, err
	}
	if wanted := in.GetResponseCompressed(); wanted != nil {
		// Without a choice the response would be encoded as the request was.
		name := encoding.Identity
		if wanted.GetValue() {
			name = gzip.Name
		}
		if err := grpc.SetSendCompressor(ctx, name); err != nil {
			return nil, err
		}
	}
	return s.TestServiceServer.UnaryCall(ctx, in)
}

// StreamingInputCall checks expect_compressed of every message.
func (s service) StreamingInputCall(stream grpc_testing.TestService_StreamingInputCallServer) error {
	return s.TestServiceServer.StreamingInputCall(checkedStream{stream})
}

type checkedStream struct {
	grpc_testing.TestService_StreamingInputCallServer
}

// Recv receives a message and refuses it if it is not compressed as it says.
func (s checkedStream) Recv() (*grpc_testing.StreamingInputCallRequest, error) {
	in, err := s.TestService_StreamingInputCallServer.Recv()
	if err != nil {
		return nil, err
	}
	return in, checkCompressed(s.Context(), in.GetExpectCompressed())
}

func checkCompressed(ctx context.Context, expected *grpc_testing.BoolValue) error {
	if expected == nil {
		return nil
	}
	if came := *ctx.Value(compressedKey{}).(*bool); came != expected.GetValue() {
		return status.Errorf(codes.InvalidArgument, "compressed: expected %t, came %t", expected.GetValue(), came)
	}
	return nil
}

// compressedKey is where a call's context tells whether the latest message came compressed. The message is counted and
// handled in one goroutine, so that this needs no lock.
type compressedKey struct{}

// compressionWatch notes it, because grpc-go shows the flag to nobody: a compressed message has another length.
type compressionWatch struct{}

func (compressionWatch) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, compressedKey{}, new(bool))
}

func (compressionWatch) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if payload, arrived := event.(*stats.InPayload); arrived {
		*ctx.Value(compressedKey{}).(*bool) = payload.CompressedLength != payload.Length
	}
}

func (compressionWatch) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}

func (compressionWatch) HandleConn(context.Context, stats.ConnStats) {}
