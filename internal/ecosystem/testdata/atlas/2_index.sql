create index if not exists turns_caller on turns (caller);
