-- The archive of what left the house, for the legal years: the bytes, their sha256, and a chain per
-- branch, so that neither a changed nor a missing document goes unnoticed.
create table billing.archive_head (
        branch_id smallint primary key references core.branch,
        seq       bigint not null default 0,
        chain     bytea not null default sha256('')
);

create table billing.archive (
        branch_id smallint not null references core.branch,
        seq       bigint not null,                       -- 1, 2, 3 ... per branch
        number    text not null references billing.invoice,
        form      text not null check (form in ('pdf', 'ubl')),
        document  bytea not null,
        digest    bytea not null,                        -- sha256 of document
        chain     bytea not null,                        -- sha256 of the chain before, number, form and digest
        archived_at timestamptz not null default now(),
        primary key (branch_id, seq),
        unique (number, form)
);
alter table billing.archive alter column document set storage external; -- a PDF is compressed already

do $$
declare t text;
begin
        foreach t in array array['archive', 'archive_head'] loop
                execute format('alter table billing.%I enable row level security', t);
                execute format('alter table billing.%I force row level security', t);
                execute format('create policy branch on billing.%I using (core.branch_allowed(branch_id))', t);
        end loop;
end $$;
create trigger frozen before update or delete on billing.archive
        for each row execute function billing.invoice_frozen();

create function billing.archive_link(p_before bytea, p_number text, p_form text, p_digest bytea) returns bytea
language sql immutable as $$
        select sha256(p_before || convert_to(p_number || E'\n' || p_form || E'\n', 'UTF8') || p_digest)
$$;

-- Puts a document in once; a second time must bring the same bytes. Returns whether it is new.
create function billing.archive_put(p_number text, p_form text, p_document bytea) returns boolean
language plpgsql as $$
declare v_branch smallint; v_old bytea; v_digest bytea := sha256(p_document); h billing.archive_head;
begin
        select branch_id into strict v_branch from billing.invoice where number = p_number;
        insert into billing.archive_head (branch_id) values (v_branch) on conflict do nothing;
        select * into h from billing.archive_head where branch_id = v_branch for update;
        select digest into v_old from billing.archive where number = p_number and form = p_form;
        if found then
                if v_old <> v_digest then
                        raise exception 'The % of % is in the archive with other bytes; what was issued is not replaced',
                                p_form, p_number using errcode = 'HR001';
                end if;
                return false;
        end if;
        h.seq := h.seq + 1;
        h.chain := billing.archive_link(h.chain, p_number, p_form, v_digest);
        insert into billing.archive (branch_id, seq, number, form, document, digest, chain)
        values (v_branch, h.seq, p_number, p_form, p_document, v_digest, h.chain);
        update billing.archive_head set seq = h.seq, chain = h.chain where branch_id = v_branch;
        return true;
end $$;

-- What is wrong with the documents of a branch (all that the caller may see when null) between two
-- days of issue, or with one document; nothing when all is as it was issued.
create function billing.archive_faults(p_branch smallint, p_from date, p_until date, p_number text)
returns table (number text, form text, fault text) language plpgsql stable as $$
begin
        return query
        select i.number, 'contents', 'the stored contents do not match their sha256'
        from billing.invoice i
        where i.digest <> sha256(convert_to(i.content::text, 'UTF8'))
          and (p_branch is null or i.branch_id = p_branch) and (p_number is null or i.number = p_number)
          and (p_from is null or i.issued_at >= p_from) and (p_until is null or i.issued_at < p_until + 1);
        return query
        select a.number, a.form, 'the archived bytes do not match their sha256'
        from billing.archive a join billing.invoice i using (number)
        where a.digest <> sha256(a.document)
          and (p_branch is null or a.branch_id = p_branch) and (p_number is null or a.number = p_number)
          and (p_from is null or i.issued_at >= p_from) and (p_until is null or i.issued_at < p_until + 1);
        return query
        select c.number, c.form, c.fault from (
                select a.number, a.form,
                       case when a.seq <> coalesce(lag(a.seq) over w, 0) + 1 then
                                    'documents before it are missing from the archive'
                            when a.chain <> billing.archive_link(coalesce(lag(a.chain) over w, sha256('')), a.number,
                                                                 a.form, a.digest) then
                                    'the chain of the archive is broken here' end as fault
                from billing.archive a where p_branch is null or a.branch_id = p_branch
                window w as (partition by a.branch_id order by a.seq)) c
        where c.fault is not null and (p_number is null or c.number = p_number);
        return query
        select ''::text, ''::text, format('the archive of branch %s ends at %s documents, its head says %s', n.code,
                       coalesce(m.seq, 0), h.seq)
        from billing.archive_head h join core.branch n using (branch_id)
        left join lateral (select a.seq, a.chain from billing.archive a where a.branch_id = h.branch_id
                           order by a.seq desc limit 1) m on true
        where p_number is null and (p_branch is null or h.branch_id = p_branch)
          and (h.seq, h.chain) is distinct from (coalesce(m.seq, 0), coalesce(m.chain, sha256('')));
end $$;
