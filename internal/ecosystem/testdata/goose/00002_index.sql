-- +goose NO TRANSACTION
-- +goose Up
create index concurrently turns_caller on turns (caller);
-- +goose Down
drop index concurrently turns_caller;
