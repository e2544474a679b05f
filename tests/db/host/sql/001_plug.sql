create schema plug;
create table plug.item (
        item_id   bigint generated always as identity primary key,
        branch_id smallint not null references core.branch,
        name      text not null,
        constraint item_name unique (name)
);
comment on constraint item_name on plug.item is 'There is an item of this name; choose another';
alter table plug.item enable row level security;
alter table plug.item force row level security;
create policy branch on plug.item using (core.branch_allowed(branch_id));
create table plug.seen (event_id bigint, name text);
create table plug.step (job_id bigint, n int);
