-- name: find_meter
select meter_id from mdm.meter
 where serial = $1 or (($1::text ~ '^[0-9]{1,9}$') and meter_id = case when $1::text ~ '^[0-9]{1,9}$' then $1::int end)
 order by (serial = $1) desc limit 1
