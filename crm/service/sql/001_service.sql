-- Service requests. A type is data: form, steps, time limit; a request is one thread across call
-- centre, app and field.
create table crm.request_type (
        code      text primary key check (code ~ '^[a-z][a-z0-9_]{1,30}$'),
        name      jsonb not null check (name ? 'en'),      -- language -> text
        form      jsonb not null default '[]',             -- [{name, label {en, vi}, type text|number|date|choice, choices, required}]
        steps     jsonb not null default '["open", "done"]' check (jsonb_array_length(steps) >= 1),
        sla_hours int not null default 72 check (sla_hours between 1 and 8760),
        duplicate_days int not null default 14 check (duplicate_days between 0 and 365),
        queue     text not null default 'office',
        retired   boolean not null default false
);

insert into crm.request_type (code, name, form, steps, sla_hours, duplicate_days, queue) values
('outage', '{"en": "No supply", "vi": "Mất điện, mất nước"}',
 '[{"name": "since", "label": {"en": "Since when", "vi": "Từ khi nào"}, "type": "text"},
   {"name": "neighbours", "label": {"en": "Neighbours too", "vi": "Hàng xóm cũng bị"}, "type": "choice", "choices": ["yes", "no", "unknown"]}]',
 '["reported", "dispatched", "restored"]', 4, 1, 'field'),
('high_bill', '{"en": "Bill higher than expected", "vi": "Hóa đơn cao bất thường"}',
 '[{"name": "bill", "label": {"en": "Bill number", "vi": "Số hóa đơn"}, "type": "text"},
   {"name": "own_reading", "label": {"en": "Customer''s own reading", "vi": "Chỉ số khách tự đọc"}, "type": "number"}]',
 '["reported", "evidence", "answered"]', 72, 30, 'billing'),
('meter_fault', '{"en": "Meter broken or unreadable", "vi": "Công tơ hỏng hoặc không đọc được"}',
 '[{"name": "seen", "label": {"en": "What is seen", "vi": "Hiện tượng"}, "type": "text", "required": true}]',
 '["reported", "visit", "exchanged"]', 48, 14, 'field'),
('new_connection', '{"en": "New connection", "vi": "Cấp mới"}',
 '[{"name": "address", "label": {"en": "Address", "vi": "Địa chỉ"}, "type": "text", "required": true},
   {"name": "load_kw", "label": {"en": "Load in kW", "vi": "Công suất kW"}, "type": "number"}]',
 '["application", "survey", "quote", "paid", "installed", "supplied"]', 240, 30, 'office'),
('move', '{"en": "Moving in or out", "vi": "Chuyển đến, chuyển đi"}',
 '[{"name": "day", "label": {"en": "Day", "vi": "Ngày"}, "type": "date", "required": true},
   {"name": "reading", "label": {"en": "Reading that day", "vi": "Chỉ số ngày đó"}, "type": "number"}]',
 '["reported", "read", "done"]', 72, 14, 'office'),
('tariff_change', '{"en": "Other tariff", "vi": "Đổi biểu giá"}',
 '[{"name": "tariff", "label": {"en": "Tariff wanted", "vi": "Biểu giá mong muốn"}, "type": "text"}]',
 '["requested", "checked", "changed"]', 120, 30, 'billing'),
('other', '{"en": "Something else", "vi": "Việc khác"}', '[]', '["open", "done"]', 72, 0, 'office');

create table crm.request (
        request_id bigint generated always as identity primary key,
        branch_id  smallint not null references core.branch,
        number     text not null unique,
        type       text not null references crm.request_type,
        party_id   bigint not null references crm.party,
        account_id bigint references crm.account,
        service_point_id bigint references crm.service_point,
        state      text not null default 'open' check (state in ('open', 'waiting', 'closed')),
        step       text not null,
        form       jsonb not null default '{}',
        queue      text not null,
        assigned_to text,
        opened_at  timestamptz not null default now(),
        opened_by  text not null,
        due_at     timestamptz not null,
        paused_at  timestamptz,                           -- the time limit stands still while waiting
        pause_reason text,
        closed_at  timestamptz,
        outcome    text,
        reopened   int not null default 0,
        check ((state = 'closed') = (closed_at is not null)),
        check ((state = 'waiting') = (paused_at is not null))
);
create index on crm.request (branch_id, due_at) where state <> 'closed';
create index on crm.request (party_id, opened_at desc);

create table crm.request_message (
        message_id bigint generated always as identity primary key,
        request_id bigint not null references crm.request,
        branch_id  smallint not null references core.branch,
        at         timestamptz not null default clock_timestamp(),
        actor      text not null,
        channel    text not null check (channel in ('callcentre', 'app', 'field', 'office', 'system')),
        kind       text not null check (kind in ('message', 'note', 'change')), -- a note stays inside the house
        text       text not null check (text <> '')
);
create index on crm.request_message (request_id, message_id);

do $$
declare t text;
begin
        foreach t in array array['request', 'request_message'] loop
                execute format('alter table crm.%I enable row level security', t);
                execute format('alter table crm.%I force row level security', t);
                execute format('create policy branch on crm.%I using (core.branch_allowed(branch_id))', t);
        end loop;
end $$;
create trigger keep before update or delete on crm.request_message
        for each row execute function crm.refuse_change();

-- What is wrong with a form's values: the field and why, NULL when nothing is.
create function crm.form_problem(p_form jsonb, p_values jsonb) returns text
language plpgsql immutable as $$
declare
        f jsonb;
        v text;
        k text;
begin
        for k in select jsonb_object_keys(p_values) loop
                if not exists (select from jsonb_array_elements(p_form) e where e ->> 'name' = k) then
                        return format('the form has no field %s', k);
                end if;
        end loop;
        for f in select e from jsonb_array_elements(p_form) e loop
                v := nullif(btrim(p_values ->> (f ->> 'name')), '');
                if v is null then
                        if (f ->> 'required')::boolean then
                                return format('%s is needed', f ->> 'name');
                        end if;
                elsif f ->> 'type' = 'number' and v !~ '^-?[0-9]+(\.[0-9]+)?$' then
                        return format('%s must be a number', f ->> 'name');
                elsif f ->> 'type' = 'date' and v !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' then
                        return format('%s must be a date such as 2026-01-31', f ->> 'name');
                elsif f ->> 'type' = 'choice' and not f -> 'choices' ? v then
                        return format('%s must be one of %s', f ->> 'name',
                                      (select string_agg(c, ', ') from jsonb_array_elements_text(f -> 'choices') c));
                end if;
        end loop;
        return null;
end $$;
