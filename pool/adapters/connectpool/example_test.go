package connectpool_test

import (
	"context"
	"log"
	"net/http"
	"os"

	"connectrpc.com/connect"
	"github.com/dbpool-go/dbpool/pool"
	"github.com/dbpool-go/dbpool/pool/adapters/connectpool"
	"google.golang.org/protobuf/types/known/emptypb"
)

func Example() {
	p, err := pool.OpenURL(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	// As a generated NewOrdersHandler takes it.
	sessions := connect.WithInterceptors(connectpool.Interceptor(p))
	const procedure = "/shop.v1.Orders/Create"
	http.Handle(procedure, connect.NewUnaryHandler(procedure, create, sessions))
	log.Print(http.ListenAndServe("127.0.0.1:8080", nil))
}

// create commits by returning nil.
func create(ctx context.Context, _ *connect.Request[emptypb.Empty]) (*connect.Response[emptypb.Empty], error) {
	_, err := pool.FromContext(ctx).ExecContext(ctx, "insert into orders default values")
	return connect.NewResponse(new(emptypb.Empty)), err
}
