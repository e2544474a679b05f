-- Defining kinds of requests is the second person's, not the clerk's own.
update core.role set permissions = array_remove(permissions, 'request.*') || '{request.read,request.write}'
where role in ('clerk', 'technician');
update core.role set permissions = permissions || '{request.read,request.approve}' where role = 'approver';
update core.role set permissions = permissions || '{meter.demand}' where role = 'clerk';
