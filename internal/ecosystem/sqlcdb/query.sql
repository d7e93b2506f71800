-- name: CountSessions :one
select count(*) from pg_catalog.pg_stat_activity, pg_sleep(0.05) where application_name = current_setting('application_name');

-- name: AddTurn :exec
insert into turns (caller) values ($1);

-- name: Turns :many
select id, caller from turns where caller = any(@callers::int[]) order by id;
