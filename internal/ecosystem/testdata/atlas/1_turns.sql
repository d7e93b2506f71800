create table if not exists turns (id bigserial primary key, caller integer not null);
