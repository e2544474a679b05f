-- Deals out a run's contracts, once; returns the number of ranges.
create or replace function billing.plan_run(p_run bigint) returns int language plpgsql as $$
declare r billing.run; v_tz text; v_size int; v_n int; v_seq regclass;
begin
        select count(*) into v_n from billing.run_range where run_id = p_run;
        if v_n > 0 then
                return v_n;
        end if;
        select * into r from billing.run where run_id = p_run;
        select tz into v_tz from core.branch where branch_id = r.branch_id;
        v_seq := pg_get_serial_sequence('billing.bill', 'bill_id')::regclass;
        -- Of a long period fewer contracts: what a range reads is held in memory.
        select greatest(20, least(4000, greatest(100, count(*) / 64)) * 31
                            / greatest(31, upper(r.period) - lower(r.period))) into v_size
        from crm.contract c
        where c.branch_id = r.branch_id and c.cycle = r.cycle and c.valid && r.period
          and (r.contract_id is null or c.contract_id = r.contract_id);
        with c as (
                select c.contract_id, min(i.meter_id) as meter_id
                from crm.contract c
                left join crm.installation i on i.service_point_id = c.service_point_id
                     and i.valid && tstzrange(lower(r.period)::timestamp at time zone v_tz,
                                              upper(r.period)::timestamp at time zone v_tz)
                where c.branch_id = r.branch_id and c.cycle = r.cycle and c.valid && r.period
                  and (r.contract_id is null or c.contract_id = r.contract_id)
                group by c.contract_id
        ), dealt as (
                select contract_id, (row_number() over (order by meter_id nulls last, contract_id) - 1) / v_size as no
                from c
        ), numbered as (
                select no, contract_id, nextval(v_seq) as bill_id
                from (select * from dealt order by no, contract_id) x
        )
        insert into billing.run_range (run_id, no, branch_id, contracts, bills)
        select p_run, no, r.branch_id, array_agg(contract_id order by contract_id), array_agg(bill_id order by contract_id)
        from numbered group by no;
        get diagnostics v_n = row_count;
        update billing.run set contracts = (select coalesce(sum(cardinality(contracts)), 0) from billing.run_range
                                            where run_id = p_run)
        where run_id = p_run;
        return v_n;
end $$;
