package grpcpool

import (
	"errors"
	"time"

	"github.com/dbpool-go/dbpool/pool"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// failure is what the client gets and, for interceptors and logs, why.
type failure struct {
	said  *status.Status
	cause error
}

func (f *failure) Error() string              { return f.said.Message() + ": " + f.cause.Error() }
func (f *failure) Unwrap() error              { return f.cause }
func (f *failure) GRPCStatus() *status.Status { return f.said }

// retry is for an error after which the same call may succeed, and says when.
func retry(why error, wait time.Duration) *status.Status {
	s := status.New(codes.Aborted, "the work was rolled back because of other work beside it")
	if errors.Is(why, pool.ErrPoolTimeout) || errors.Is(why, pool.ErrOverloaded) || errors.Is(why, pool.ErrServerFull) {
		s = status.New(codes.Unavailable, "no database connection is free")
	}
	if told, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)}); err == nil {
		return told
	}
	return s
}
