package kvplugin

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ferrule.example/goplugin/kvpb"
)

// service is a key-value store in memory that can also flood its output and die.
type service struct {
	kvpb.UnimplementedKVServer

	mutex  sync.RWMutex
	values map[string][]byte
}

func newService() *service {
	return &service{values: make(map[string][]byte)}
}

func (s *service) Put(_ context.Context, request *kvpb.PutRequest) (*kvpb.PutResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.values[request.GetKey()] = request.GetValue()
	return &kvpb.PutResponse{}, nil
}

func (s *service) Get(_ context.Context, request *kvpb.GetRequest) (*kvpb.GetResponse, error) {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	value, stored := s.values[request.GetKey()]
	if !stored {
		return nil, status.Errorf(codes.NotFound, "no value is stored under %q; Put stores one", request.GetKey())
	}
	return &kvpb.GetResponse{Value: value}, nil
}

func (s *service) Echo(_ context.Context, request *kvpb.EchoRequest) (*kvpb.EchoResponse, error) {
	return echo(request), nil
}

func (s *service) Watch(request *kvpb.WatchRequest, stream grpc.ServerStreamingServer[kvpb.EchoResponse]) error {
	response := &kvpb.EchoResponse{Payload: make([]byte, request.GetSize())}
	for range request.GetCount() {
		if err := stream.Send(response); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) Chat(stream grpc.BidiStreamingServer[kvpb.EchoRequest, kvpb.EchoResponse]) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(echo(request)); err != nil {
			return err
		}
	}
}

func (s *service) Noise(_ context.Context, request *kvpb.NoiseRequest) (*kvpb.NoiseResponse, error) {
	if err := makeNoise(request); err != nil {
		return nil, status.Errorf(codes.Internal, "writing the requested output failed: %v", err)
	}
	return &kvpb.NoiseResponse{}, nil
}

func (s *service) Exit(_ context.Context, request *kvpb.ExitRequest) (*kvpb.ExitResponse, error) {
	if text := request.GetPanic(); text != "" {
		// In a goroutine of its own, so that no recovery wrapped around handlers can ever catch it.
		go panic(text)
		select {}
	}
	os.Exit(int(request.GetCode()))
	return nil, nil
}

func echo(request *kvpb.EchoRequest) *kvpb.EchoResponse {
	if size := request.GetResponseBytes(); size != 0 {
		return &kvpb.EchoResponse{Payload: make([]byte, size)}
	}
	return &kvpb.EchoResponse{Payload: request.GetPayload()}
}
