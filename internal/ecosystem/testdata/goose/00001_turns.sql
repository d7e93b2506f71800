-- +goose Up
create table turns (id bigserial primary key, caller integer not null);
-- +goose Down
drop table turns;
