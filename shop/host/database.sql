-- The shop's database: one role owns the tables, another one works with the rows. Runs as often as you like, on a host
-- and on RDS, where the role logs in with tokens and the master may only give away what it is a member of.
select pg_advisory_lock(20260101);
select 'create role shop_owner nologin' where not exists (select from pg_roles where rolname = 'shop_owner') \gexec
select 'create role shop_app login' where not exists (select from pg_roles where rolname = 'shop_app') \gexec
select 'grant rds_iam to shop_app' where exists (select from pg_roles where rolname = 'rds_iam') \gexec
grant shop_owner to current_user;
select 'create database shop owner shop_owner' where not exists (select from pg_database where datname = 'shop') \gexec
revoke all on database shop from public;
grant connect, temporary on database shop to shop_app;

\connect shop
select pg_advisory_lock(20260101);
revoke create on schema public from public;
grant usage, create on schema public to shop_owner;
grant usage on schema public to shop_app;
alter default privileges for role shop_owner in schema public
    grant select, insert, update, delete on tables to shop_app;
alter default privileges for role shop_owner in schema public
    grant usage on sequences to shop_app;
