-- Taxes inside the cases of a slab switch count as well: one row per tax and part of the bill.
create or replace function billing.einvoice_taxes(p_bill bigint, p_vat_codes text[]) returns jsonb
language sql stable as $$
        select coalesce(jsonb_agg(jsonb_build_object('part', x.part, 'component', x.code,
                'vat', exists (select from unnest(p_vat_codes) v where starts_with(lower(x.code), v)),
                'category', 'S', 'of', x.base) order by x.part, x.code), '[]')
        from (select distinct on (p.part, c->>'code') p.part, c->>'code' as code,
                     case jsonb_typeof(c->'of') when 'array' then c->'of' else '[]' end as base
              from billing.bill b
              cross join jsonb_array_elements(b.inputs->'parts') with ordinality as p(doc, part)
              join billing.tariff_version v on v.code = p.doc->>'code' and v.version = (p.doc->>'version')::int
              cross join lateral (
                      select jsonb_path_query(v.document, 'lax $.components[*]')
                      union all
                      select jsonb_path_query(v.document, 'lax $.components[*].cases[*].components[*]')) n(c)
              where b.bill_id = p_bill and (c->>'tax')::boolean
              order by p.part, c->>'code') x
$$;
