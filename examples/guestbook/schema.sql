-- May run at every start.
select 'create role root superuser login'
where not exists (select from pg_roles where rolname = 'root') \gexec
select 'create database guestbook owner root'
where not exists (select from pg_database where datname = 'guestbook') \gexec
\connect guestbook
create table if not exists entries (
  id bigint generated always as identity primary key,
  name text not null,
  message text not null,
  signed_at timestamptz not null default now()
);
alter table entries owner to root;
