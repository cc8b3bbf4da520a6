package exchangeplugin

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ferrule.example/goplugin/exchangepb"
)

// counter stores sums that the host works out, and takes part in exchanges.
type counter struct {
	exchangepb.UnimplementedCounterServer

	broker     *plugin.GRPCBroker
	sequential bool
	// host is locked from a dial to the end of its connection.
	host sync.Mutex
	// mutex guards values.
	mutex  sync.Mutex
	values map[string]int64
}

func (c *counter) Put(ctx context.Context, request *exchangepb.PutRequest) (*exchangepb.PutResponse, error) {
	// Held over the call to the host, or two puts under one key could read the same previous value.
	c.mutex.Lock()
	defer c.mutex.Unlock()
	operands := &exchangepb.SumRequest{A: c.values[request.GetKey()], B: request.GetValue()}
	err := c.withHost(request.GetAddServer(), func(conn *grpc.ClientConn) error {
		sum, err := exchangepb.NewAddHelperClient(conn).Sum(ctx, operands)
		if err != nil {
			return fmt.Errorf("asking the host on broker id %d for a sum: %w", request.GetAddServer(), err)
		}
		c.values[request.GetKey()] = sum.GetR()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &exchangepb.PutResponse{}, nil
}

func (c *counter) Get(_ context.Context, request *exchangepb.GetRequest) (*exchangepb.GetResponse, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	value, stored := c.values[request.GetKey()]
	if !stored {
		return nil, status.Errorf(codes.NotFound, "no value is stored under %q; Put stores one", request.GetKey())
	}
	return &exchangepb.GetResponse{Value: value}, nil
}

func (c *counter) Exchange(
	ctx context.Context, request *exchangepb.ExchangeRequest,
) (*exchangepb.ExchangeResponse, error) {
	hostService, token := request.GetHostService(), request.GetToken()
	err := c.withHost(hostService, func(conn *grpc.ClientConn) error {
		return Confirm(ctx, exchangepb.NewWitnessClient(conn), hostService, token)
	})
	if err != nil {
		return nil, err
	}
	id := c.broker.NextId()
	if _, err := ServeWitness(c.broker, id, token); err != nil {
		return nil, err
	}
	return &exchangepb.ExchangeResponse{PluginService: id, Token: token}, nil
}

func (c *counter) Files(context.Context, *exchangepb.FilesRequest) (*exchangepb.FilesResponse, error) {
	return openFiles()
}

// withHost runs call on a connection to what the host serves on id.
func (c *counter) withHost(id uint32, call func(*grpc.ClientConn) error) error {
	if c.sequential {
		c.host.Lock()
		defer c.host.Unlock()
	}
	conn, err := c.broker.Dial(id)
	if err != nil {
		return status.Errorf(codes.Unavailable, "dialling broker id %d failed: %v", id, err)
	}
	defer conn.Close()
	return call(conn)
}
