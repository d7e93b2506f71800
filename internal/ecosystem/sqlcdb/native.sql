-- name: CopyTurns :copyfrom
insert into turns (caller) values ($1);

-- name: AddTurns :batchexec
insert into turns (caller) values ($1);

-- name: FindTurns :batchmany
select id, caller from turns where caller = $1;
