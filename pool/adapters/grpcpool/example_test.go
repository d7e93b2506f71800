package grpcpool_test

import (
	"log"
	"net"
	"os"

	"github.com/dbpool-go/dbpool/pool"
	"github.com/dbpool-go/dbpool/pool/adapters/grpcpool"
	"google.golang.org/grpc"
)

func Example() {
	p, err := pool.OpenURL(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	srv := grpc.NewServer(
		grpc.ChainUnaryInterceptor(grpcpool.Unary(p)),
		grpc.ChainStreamInterceptor(grpcpool.Stream(p, pool.WithReadOnly())),
	)
	// A method finds its session with pool.FromContext(ctx). Returning nil commits.
	lis, err := net.Listen("tcp", "127.0.0.1:9000")
	if err != nil {
		log.Fatal(err)
	}
	log.Print(srv.Serve(lis))
}
