package main

import (
	"context"
	"encoding/binary"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// streamRequestSize is two big-endian 32-bit numbers: how many messages, and how many bytes each.
const streamRequestSize = 8

// maxMessageSize bounds what one stream may make the server allocate; 4 MiB is what a client accepts by default.
const maxMessageSize = 4 << 20

var service = grpc.ServiceDesc{
	ServiceName: "bench.Echo",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: unary}},
	Streams:     []grpc.StreamDesc{{StreamName: "Stream", Handler: stream, ServerStreams: true}},
}

func unary(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var message mem.BufferSlice
	if err := decode(&message); err != nil {
		return nil, err
	}
	return &message, nil
}

func stream(_ any, answers grpc.ServerStream) error {
	var request mem.BufferSlice
	if err := answers.RecvMsg(&request); err != nil {
		return err
	}
	asked := request.Materialize()
	request.Free()
	if len(asked) != streamRequestSize {
		return status.Errorf(codes.InvalidArgument, "request of %d bytes, expected %d: the number of messages and "+
			"their size, each as 32 bits, big-endian", len(asked), streamRequestSize)
	}
	count, size := binary.BigEndian.Uint32(asked), binary.BigEndian.Uint32(asked[4:])
	if size > maxMessageSize {
		return status.Errorf(codes.InvalidArgument, "messages of %d bytes, expected at most %d", size, maxMessageSize)
	}
	message := mem.BufferSlice{mem.SliceBuffer(make([]byte, size))}
	for range count {
		if err := answers.SendMsg(&message); err != nil {
			return err
		}
	}
	return nil
}

// rawCodec passes bytes through without a copy. A received message carries a reference to its buffers, which goes back
// to grpc-go with the answer.
type rawCodec struct{}

func (rawCodec) Name() string { return "raw" }

func (rawCodec) Marshal(message any) (mem.BufferSlice, error) {
	return *message.(*mem.BufferSlice), nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, message any) error {
	data.Ref()
	*message.(*mem.BufferSlice) = data
	return nil
}
