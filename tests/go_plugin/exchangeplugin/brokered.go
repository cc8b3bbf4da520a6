package exchangeplugin

import (
	"context"
	"fmt"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ferrule.example/goplugin/exchangepb"
)

// Serve starts a brokered server on id, which the peer can dial from the moment this returns.
//
// Telling the peer an id earlier is dangerous when multiplexed: a knock for an id whose listener is not registered yet
// ends go-plugin's main server. AcceptAndServe makes its server after registering the listener, which is the sign that
// is waited for here; accepting by hand instead would lose the TLS configuration, which go-plugin does not export.
func Serve(broker *plugin.GRPCBroker, id uint32, register func(*grpc.Server)) (*grpc.Server, error) {
	listening := make(chan *grpc.Server, 1)
	go func() {
		defer close(listening)
		broker.AcceptAndServe(id, func(options []grpc.ServerOption) *grpc.Server {
			server := grpc.NewServer(options...)
			register(server)
			listening <- server
			return server
		})
	}()
	server, accepted := <-listening
	if !accepted {
		return nil, fmt.Errorf("broker id %d could not be listened on; go-plugin logged the cause", id)
	}
	return server, nil
}

// ServeWitness starts a brokered server on id that knows token.
func ServeWitness(broker *plugin.GRPCBroker, id uint32, token uint64) (*grpc.Server, error) {
	return Serve(broker, id, func(server *grpc.Server) {
		exchangepb.RegisterWitnessServer(server, &witness{server: server, token: token})
	})
}

// Confirm asks the witness that was dialled as id for its token. Another token than the expected one is a misrouted
// stream, the only cause of FAILED_PRECONDITION here.
func Confirm(ctx context.Context, witness exchangepb.WitnessClient, id uint32, token uint64) error {
	answer, err := witness.Identify(ctx, &exchangepb.IdentifyRequest{})
	if err != nil {
		return fmt.Errorf("asking the witness on broker id %d: %w", id, err)
	}
	if answer.GetToken() != token {
		return status.Errorf(codes.FailedPrecondition,
			"misrouted: broker id %d should lead to the witness with token %d, but the one there has %d",
			id, token, answer.GetToken())
	}
	return nil
}

// witness is one brokered server's service.
type witness struct {
	exchangepb.UnimplementedWitnessServer

	server *grpc.Server
	token  uint64
}

func (w *witness) Identify(context.Context, *exchangepb.IdentifyRequest) (*exchangepb.IdentifyResponse, error) {
	return &exchangepb.IdentifyResponse{Token: w.token}, nil
}

func (w *witness) Release(context.Context, *exchangepb.ReleaseRequest) (*exchangepb.ReleaseResponse, error) {
	// Waits until this very call is answered, so it must not be waited for.
	go w.server.GracefulStop()
	return &exchangepb.ReleaseResponse{}, nil
}
