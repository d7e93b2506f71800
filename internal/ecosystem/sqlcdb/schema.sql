create table turns (id bigserial primary key, caller integer not null);
