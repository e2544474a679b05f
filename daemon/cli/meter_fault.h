#pragma once

/* From what a session or a transport failed with to words and a next step. */

#include "meter_session.h"

void meter_fault_transport(struct meter_fault *f, const struct meter_options *o, int error);
void meter_fault_sign_on(struct meter_fault *f, enum mode_e_error error,
                         const char *identification);
void meter_fault_session(struct meter_fault *f, const struct meter_options *o,
                         const struct dlms_client *c, const struct dlms_event *ev, bool associated);
/* Settings that contradict each other; a command the session did not take. */
void meter_fault_settings(struct meter_fault *f, unsigned error);
void meter_fault_command(struct meter_fault *f, unsigned error);
void meter_fault_counter_file(struct meter_fault *f, const char *path, int error);

/* "headrace: what\n  advice\n" on standard error. */
void meter_fault_print(const struct meter_fault *f);
const char *meter_stage_text(enum meter_stage stage);
