create index turns_caller on turns (caller);
