-- Who may command meters: operators ask and release (never their own), approvers release, others look.
update core.role set permissions = permissions || '{command.read,command.write,command.approve,firmware.*}' where role = 'operator';
update core.role set permissions = permissions || '{command.read,command.approve,firmware.read,firmware.approve}' where role = 'approver';
update core.role set permissions = permissions || '{command.read,command.write}' where role = 'clerk';
update core.role set permissions = permissions || '{command.read}' where role = 'technician';
