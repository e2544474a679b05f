#include "units.h"

#include <string.h>

struct meaning {
        uint8_t first, last;
        int8_t scaler; /* of the first; one more each step */
        bool time;     /* seconds, minutes, hours, days instead of powers of ten */
        const char *quantity, *unit;
};

/* Primary VIFs. */
static const struct meaning primary[] = {
        { 0x00, 0x07, -3, false, "Energy", "Wh" },
        { 0x08, 0x0F, 0, false, "Energy", "J" },
        { 0x10, 0x17, -6, false, "Volume", "m3" },
        { 0x18, 0x1F, -3, false, "Mass", "kg" },
        { 0x20, 0x23, 0, true, "On time", "s" },
        { 0x24, 0x27, 0, true, "Operating time", "s" },
        { 0x28, 0x2F, -3, false, "Power", "W" },
        { 0x30, 0x37, 0, false, "Power", "J/h" },
        { 0x38, 0x3F, -6, false, "Volume flow", "m3/h" },
        { 0x40, 0x47, -7, false, "Volume flow", "m3/min" },
        { 0x48, 0x4F, -9, false, "Volume flow", "m3/s" },
        { 0x50, 0x57, -3, false, "Mass flow", "kg/h" },
        { 0x58, 0x5B, -3, false, "Flow temperature", "°C" },
        { 0x5C, 0x5F, -3, false, "Return temperature", "°C" },
        { 0x60, 0x63, -3, false, "Temperature difference", "K" },
        { 0x64, 0x67, -3, false, "External temperature", "°C" },
        { 0x68, 0x6B, -3, false, "Pressure", "bar" },
        { 0x6C, 0x6C, 0, false, "Time point (date)", NULL },
        { 0x6D, 0x6D, 0, false, "Time point (date & time)", NULL },
        { 0x6E, 0x6E, 0, false, "H.C.A.", "Units for H.C.A." },
        { 0x70, 0x73, 0, true, "Averaging Duration", "s" },
        { 0x74, 0x77, 0, true, "Actuality Duration", "s" },
        { 0x78, 0x78, 0, false, "Fabrication No", NULL },
        { 0x79, 0x79, 0, false, "(Enhanced) Identification", NULL },
        { 0x7A, 0x7A, 0, false, "Bus Address", NULL },
        { 0x7E, 0x7E, 0, false, "Any VIF", NULL },
        { 0x7F, 0x7F, 0, false, "Manufacturer specific", NULL },
};

/* First extension, behind FB. */
static const struct meaning extension_fb[] = {
        { 0x00, 0x01, 5, false, "Energy", "Wh" },
        { 0x02, 0x03, 3, false, "Reactive energy", "varh" },
        { 0x04, 0x05, 3, false, "Apparent energy", "VAh" },
        { 0x08, 0x09, 8, false, "Energy", "J" },
        { 0x0C, 0x0F, 5, false, "Energy", "cal" },
        { 0x10, 0x11, 2, false, "Volume", "m3" },
        { 0x14, 0x17, 0, false, "Reactive power", "var" },
        { 0x18, 0x19, 5, false, "Mass", "kg" },
        { 0x1A, 0x1B, -1, false, "Relative humidity", "%" },
        { 0x20, 0x20, 0, false, "Volume", "ft3" },
        { 0x21, 0x21, -1, false, "Volume", "ft3" },
        { 0x28, 0x29, 5, false, "Power", "W" },
        { 0x2A, 0x2A, -1, false, "Phase U-U", "°" },
        { 0x2B, 0x2B, -1, false, "Phase U-I", "°" },
        { 0x2C, 0x2F, -3, false, "Frequency", "Hz" },
        { 0x30, 0x31, 8, false, "Power", "J/h" },
        { 0x34, 0x37, 0, false, "Apparent power", "VA" },
        { 0x74, 0x77, -3, false, "Cold / Warm Temperature Limit", "°C" },
        { 0x78, 0x7F, -3, false, "Cumulative maximum of active power", "W" },
};

/* Second extension, behind FD. */
static const struct meaning extension_fd[] = {
        { 0x00, 0x03, -3, false, "Credit", "currency" },
        { 0x04, 0x07, -3, false, "Debit", "currency" },
        { 0x08, 0x08, 0, false, "Access Number", NULL },
        { 0x09, 0x09, 0, false, "Medium", NULL },
        { 0x0A, 0x0A, 0, false, "Manufacturer", NULL },
        { 0x0B, 0x0B, 0, false, "Parameter set identification", NULL },
        { 0x0C, 0x0C, 0, false, "Model / Version", NULL },
        { 0x0D, 0x0D, 0, false, "Hardware version", NULL },
        { 0x0E, 0x0E, 0, false, "Firmware version", NULL },
        { 0x0F, 0x0F, 0, false, "Software version", NULL },
        { 0x10, 0x10, 0, false, "Customer location", NULL },
        { 0x11, 0x11, 0, false, "Customer", NULL },
        { 0x12, 0x15, 0, false, "Access code", NULL },
        { 0x16, 0x16, 0, false, "Password", NULL },
        { 0x17, 0x17, 0, false, "Error flags", NULL },
        { 0x18, 0x18, 0, false, "Error mask", NULL },
        { 0x19, 0x19, 0, false, "Security key", NULL },
        { 0x1A, 0x1A, 0, false, "Digital Output", NULL },
        { 0x1B, 0x1B, 0, false, "Digital Input", NULL },
        { 0x1C, 0x1C, 0, false, "Baud rate", "Baud" },
        { 0x1D, 0x1D, 0, false, "Response delay time", "bit times" },
        { 0x1E, 0x1E, 0, false, "Retry", NULL },
        { 0x1F, 0x1F, 0, false, "Remote control", NULL },
        { 0x20, 0x20, 0, false, "First storage number", NULL },
        { 0x21, 0x21, 0, false, "Last storage number", NULL },
        { 0x22, 0x22, 0, false, "Size of storage block", NULL },
        { 0x23, 0x23, 0, false, "Storage descriptor", NULL },
        { 0x24, 0x27, 0, true, "Storage interval", "s" },
        { 0x28, 0x28, 0, false, "Storage interval", "month" },
        { 0x29, 0x29, 0, false, "Storage interval", "year" },
        { 0x2A, 0x2A, 0, false, "Operator specific data", NULL },
        { 0x2B, 0x2B, 0, false, "Time point (second)", "s" },
        { 0x2C, 0x2F, 0, true, "Duration since last readout", "s" },
        { 0x30, 0x30, 0, false, "Start of tariff", NULL },
        { 0x31, 0x33, 1, true, "Duration of tariff", "s" },
        { 0x34, 0x37, 0, true, "Period of tariff", "s" },
        { 0x38, 0x38, 0, false, "Period of tariff", "month" },
        { 0x39, 0x39, 0, false, "Period of tariff", "year" },
        { 0x3A, 0x3A, 0, false, "Dimensionless", NULL },
        { 0x40, 0x4F, -9, false, "Voltage", "V" },
        { 0x50, 0x5F, -12, false, "Current", "A" },
        { 0x60, 0x60, 0, false, "Reset counter", NULL },
        { 0x61, 0x61, 0, false, "Cumulation counter", NULL },
        { 0x62, 0x62, 0, false, "Control signal", NULL },
        { 0x63, 0x63, 0, false, "Day of week", NULL },
        { 0x64, 0x64, 0, false, "Week number", NULL },
        { 0x65, 0x65, 0, false, "Time point of day change", NULL },
        { 0x66, 0x66, 0, false, "State of parameter activation", NULL },
        { 0x67, 0x67, 0, false, "Special supplier information", NULL },
        { 0x68, 0x69, 2, true, "Duration since last cumulation", "s" },
        { 0x6A, 0x6A, 0, false, "Duration since last cumulation", "month" },
        { 0x6B, 0x6B, 0, false, "Duration since last cumulation", "year" },
        { 0x6C, 0x6D, 2, true, "Operating time battery", "s" },
        { 0x6E, 0x6E, 0, false, "Operating time battery", "month" },
        { 0x6F, 0x6F, 0, false, "Operating time battery", "year" },
        { 0x70, 0x70, 0, false, "Date and time of battery change", NULL },
        { 0x71, 0x71, 0, false, "Reception level", "dBm" },
        { 0x72, 0x72, 0, false, "Daylight saving", NULL },
        { 0x73, 0x73, 0, false, "Listening window", NULL },
        { 0x74, 0x74, 0, false, "Remaining battery life time", "d" },
        { 0x75, 0x75, 0, false, "Times meter was stopped", NULL },
};

static const struct meaning *find(const struct meaning *table, size_t n, uint8_t vif)
{
        for (size_t i = 0; i < n; i++)
                if (vif >= table[i].first && vif <= table[i].last)
                        return &table[i];
        return NULL;
}

#define FIND(table, vif) find(table, sizeof(table) / sizeof((table)[0]), vif)

/* Extensions that change the number, not only its meaning (table 15). */
static void apply_extensions(struct mbus_record *r)
{
        for (unsigned i = 0; i < r->n_vife; i++) {
                uint8_t e = r->vife[i] & 0x7F;

                if (e >= 0x70 && e <= 0x77)
                        r->scaler = (int8_t)(r->scaler + e - 0x76);
                else if (e == 0x7D)
                        r->scaler = (int8_t)(r->scaler + 3);
                else if (e == 0x7F)
                        return; /* the maker's own from here */
        }
}

void mbus_name_value(struct mbus_record *r)
{
        static const int32_t seconds[] = { 1, 60, 3600, 86400 };
        const struct meaning *m = r->table == 0xFB   ? FIND(extension_fb, r->vif)
                                  : r->table == 0xFD ? FIND(extension_fd, r->vif)
                                  : r->table == 0xFF ? NULL
                                                     : FIND(primary, r->vif);

        r->factor = 1;
        if (r->text_quantity[0]) {
                r->quantity = r->text_quantity;
        } else if (!m) {
                r->quantity = r->table == 0xFF ? "Manufacturer specific" : "Reserved";
        } else {
                unsigned step = r->vif - m->first;

                r->quantity = m->quantity;
                r->unit = m->unit;
                if (m->time)
                        r->factor = seconds[(unsigned)m->scaler + step];
                else if (m->last > m->first)
                        r->scaler = (int8_t)(m->scaler + (int)step);
                else
                        r->scaler = m->scaler;
        }
        if (r->table != 0xFF)
                apply_extensions(r);
}

/* "Start (date/time) of", or when a limit was passed or an extreme occurred: the value is an
 * instant, whatever the quantity. */
static bool extension_is_time(uint8_t e)
{
        return e == 0x39 || (e >= 0x42 && e <= 0x4F && (e & 2)) ||
               (e >= 0x6A && e <= 0x6F && (e & 2));
}

bool mbus_is_time(const struct mbus_record *r)
{
        for (unsigned i = 0; r->table != 0xFF && i < r->n_vife; i++) {
                if ((r->vife[i] & 0x7F) == 0x7F)
                        break;
                if (extension_is_time(r->vife[i] & 0x7F))
                        return true;
        }
        if (r->table == 0xFD)
                return r->vif == 0x30 || r->vif == 0x70;
        return r->table == 0 && (r->vif == 0x6C || r->vif == 0x6D);
}
