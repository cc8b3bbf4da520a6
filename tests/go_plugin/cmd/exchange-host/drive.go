package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"ferrule.example/goplugin/exchangepb"
	"ferrule.example/goplugin/exchangeplugin"
)

const (
	// callTimeout bounds every call and every exchange: far more than the broker's own limits of 5 s.
	callTimeout = time.Minute
	// settleTimeout is how long a plugin may take to close what it was told to release.
	settleTimeout = 10 * time.Second
	settlePoll    = 10 * time.Millisecond

	// firstToken is no broker id, needs more than 32 bits and is not the zero of a field that was never set.
	firstToken = 1 << 40
)

// drive starts the plugin and does everything with it; errors of single exchanges go to the report directly.
func drive(client *plugin.Client, result *report, concurrency int) error {
	dispensed, err := dispense(client)
	if err != nil {
		return err
	}
	if result.Sum, err = addUp(dispensed); err != nil {
		return err
	}
	// The first exchange makes what a plugin keeps for its life, which is no leak.
	if err := exchange(dispensed, firstToken); err != nil {
		return err
	}
	before, err := openFiles(dispensed)
	if err != nil {
		return err
	}
	exchangeAll(dispensed, result, concurrency)
	result.Left, err = settle(dispensed, before)
	return err
}

// exchangeAll does the report's number of exchanges.
func exchangeAll(dispensed exchangeplugin.Client, result *report, concurrency int) {
	tokens := make(chan uint64)
	var workers sync.WaitGroup
	for range concurrency {
		workers.Go(func() {
			for token := range tokens {
				result.add(exchange(dispensed, token))
			}
		})
	}
	for number := range result.Exchanges {
		tokens <- firstToken + 1 + uint64(number)
	}
	close(tokens)
	workers.Wait()
}

// exchange has the plugin confirm the host's witness, and confirms the plugin's.
func exchange(dispensed exchangeplugin.Client, token uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	broker := dispensed.Broker
	id := broker.NextId()
	server, err := exchangeplugin.ServeWitness(broker, id, token)
	if err != nil {
		return err
	}
	defer server.Stop()
	answer, err := dispensed.Exchange(ctx, &exchangepb.ExchangeRequest{HostService: id, Token: token})
	if err != nil {
		return fmt.Errorf("exchange on the host's broker id %d: %w", id, err)
	}
	if answer.GetToken() != token {
		return fmt.Errorf("exchange with token %d was answered with token %d", token, answer.GetToken())
	}
	return visit(ctx, broker, answer.GetPluginService(), token)
}

// visit confirms the plugin's witness and releases it.
func visit(ctx context.Context, broker *plugin.GRPCBroker, id uint32, token uint64) error {
	conn, err := broker.Dial(id)
	if err != nil {
		return fmt.Errorf("dialling the plugin's broker id %d: %w", id, err)
	}
	defer conn.Close()
	witness := exchangepb.NewWitnessClient(conn)
	if err := exchangeplugin.Confirm(ctx, witness, id, token); err != nil {
		return err
	}
	if _, err := witness.Release(ctx, &exchangepb.ReleaseRequest{}); err != nil {
		return fmt.Errorf("releasing the plugin's broker id %d: %w", id, err)
	}
	return nil
}

// addUp has the plugin store two values under one key, which is the second value on top of the first.
func addUp(dispensed exchangeplugin.Client) (int64, error) {
	const key, first, second = "sum", 40, 2
	for _, value := range []int64{first, second} {
		if err := put(dispensed, key, value); err != nil {
			return 0, fmt.Errorf("put: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	stored, err := dispensed.Get(ctx, &exchangepb.GetRequest{Key: key})
	if err != nil {
		return 0, fmt.Errorf("get: %w", err)
	}
	if stored.GetValue() != first+second {
		return stored.GetValue(), fmt.Errorf("get: stored %d and %d should be %d, not %d", first, second, first+second,
			stored.GetValue())
	}
	return stored.GetValue(), nil
}

func put(dispensed exchangeplugin.Client, key string, value int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	id := dispensed.Broker.NextId()
	server, err := exchangeplugin.Serve(dispensed.Broker, id, func(server *grpc.Server) {
		exchangepb.RegisterAddHelperServer(server, addHelper{})
	})
	if err != nil {
		return err
	}
	defer server.Stop()
	_, err = dispensed.Put(ctx, &exchangepb.PutRequest{AddServer: id, Key: key, Value: value})
	return err
}

// addHelper works out the plugin's sums.
type addHelper struct {
	exchangepb.UnimplementedAddHelperServer
}

func (addHelper) Sum(_ context.Context, request *exchangepb.SumRequest) (*exchangepb.SumResponse, error) {
	return &exchangepb.SumResponse{R: request.GetA() + request.GetB()}, nil
}
