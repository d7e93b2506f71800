-- name: CountSessions :one
select count(*) from pg_stat_activity, pg_sleep(0.05) where application_name = current_setting('application_name');

-- name: AddTurn :exec
insert into turns (caller) values ($1);
