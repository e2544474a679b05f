#include "ubl.h"

#include <errno.h>
#include <libxml/xmlwriter.h>
#include <string.h>

#include "civil.h"

#define UBL "urn:oasis:names:specification:ubl:schema:xsd:"

struct writer {
        const struct einvoice *e;
        xmlTextWriterPtr w;
        bool failed;
};

/* libxml2's characters are unsigned. */
static const xmlChar *xml(const char *s)
{
        return (const xmlChar *)s;
}

static void check(struct writer *w, int rc)
{
        if (rc < 0)
                w->failed = true;
}

static void open_element(struct writer *w, const char *name)
{
        check(w, xmlTextWriterStartElement(w->w, xml(name)));
}

static void close_element(struct writer *w)
{
        check(w, xmlTextWriterEndElement(w->w));
}

static void attribute(struct writer *w, const char *name, const char *value)
{
        check(w, xmlTextWriterWriteAttribute(w->w, xml(name), xml(value)));
}

/* XML 1.0 has no place for control characters, whatever they are escaped as (its clause 2.2). */
static void characters(struct writer *w, const char *s)
{
        struct buf clean = BUF_INIT;

        for (; *s; s++)
                buf_put_u8(&clean, (unsigned char)*s < ' ' ? ' ' : (uint8_t)*s);
        check(w, xmlTextWriterWriteString(w->w, xml(buf_cstr(&clean))));
        if (clean.failed)
                w->failed = true;
        buf_deinit(&clean);
}

static void element_with(struct writer *w, const char *name, const char *key, const char *value,
                         const char *content)
{
        if (!*content) /* an empty element says less than none (PEPPOL-EN16931-R008) */
                return;
        open_element(w, name);
        if (*value)
                attribute(w, key, value);
        characters(w, content);
        close_element(w);
}

static void element(struct writer *w, const char *name, const char *content)
{
        element_with(w, name, "", "", content);
}

static void money(struct writer *w, const char *name, int64_t minor)
{
        char amount[DECIMAL_TEXT_SIZE];

        einvoice_money(w->e, minor, amount);
        element_with(w, name, "currencyID", w->e->currency, amount);
}

/* "2026-10-31" of days since 1970. */
static void day(struct writer *w, const char *name, int days)
{
        char s[48];
        int y, m, d;

        civil_from_day(days, &y, &m, &d);
        snprintf(s, sizeof s, "%04d-%02d-%02d", y, m, d);
        element(w, name, s);
}

static const char *content(const struct writer *w, const char *group, const char *name)
{
        const char *s =
                json_string_value(json_object_get(json_object_get(w->e->content, group), name));

        return s ? s : "";
}

/* ---- parties ---- */

static void country(struct writer *w, const char *code)
{
        open_element(w, "cac:Country");
        element(w, "cbc:IdentificationCode", code);
        close_element(w);
}

static void tax_scheme(struct writer *w, const char *number, const char *scheme)
{
        if (!*number)
                return;
        open_element(w, "cac:PartyTaxScheme");
        element(w, "cbc:CompanyID", number);
        open_element(w, "cac:TaxScheme");
        element(w, "cbc:ID", scheme);
        close_element(w);
        close_element(w);
}

static void contact(struct writer *w, const struct einvoice_party *p)
{
        if (!*p->phone && !*p->email)
                return;
        open_element(w, "cac:Contact");
        element(w, "cbc:Name", p->name);
        element(w, "cbc:Telephone", p->phone);
        element(w, "cbc:ElectronicMail", p->email);
        close_element(w);
}

/* Outside the scope of VAT no VAT identifier may stand (BR-O-02). */
static bool outside_vat(const struct einvoice *e)
{
        return e->n_vat == 1 && strcmp(e->vat[0].category.id, "O") == 0;
}

static void party(struct writer *w, const char *role, const struct einvoice_party *p, bool seller)
{
        open_element(w, role);
        open_element(w, "cac:Party");
        element_with(w, "cbc:EndpointID", "schemeID", p->endpoint_scheme, p->endpoint);
        open_element(w, "cac:PartyName");
        element(w, "cbc:Name", p->name);
        close_element(w);
        open_element(w, "cac:PostalAddress");
        element(w, "cbc:StreetName", p->street);
        element(w, "cbc:CityName", p->city);
        element(w, "cbc:PostalZone", p->postcode);
        country(w, p->country);
        close_element(w);
        if (!outside_vat(w->e))
                tax_scheme(w, p->vat_id, "VAT");
        if (seller && !outside_vat(w->e))
                tax_scheme(w, p->tax_id, "TAX");
        open_element(w, "cac:PartyLegalEntity");
        element(w, "cbc:RegistrationName", p->name);
        element(w, "cbc:CompanyID", *p->legal_id || !seller ? p->legal_id : p->tax_id);
        close_element(w);
        contact(w, p);
        close_element(w);
        close_element(w);
}

/* Where the energy went (BG-15), with the network's number of the supply point (BT-71). */
static void delivery(struct writer *w)
{
        open_element(w, "cac:Delivery");
        open_element(w, "cac:DeliveryLocation");
        element(w, "cbc:ID", content(w, "premise", "service_point"));
        open_element(w, "cac:Address");
        element(w, "cbc:StreetName", content(w, "premise", "address"));
        element(w, "cbc:CityName", content(w, "premise", "city"));
        element(w, "cbc:PostalZone", content(w, "premise", "postcode"));
        country(w, w->e->buyer.country);
        close_element(w);
        close_element(w);
        close_element(w);
}

/* ---- head ---- */

static void period(struct writer *w)
{
        open_element(w, "cac:InvoicePeriod");
        element(w, "cbc:StartDate", w->e->period_from);
        element(w, "cbc:EndDate", w->e->period_until);
        close_element(w);
}

static void corrected(struct writer *w)
{
        const char *number = json_string_value(json_object_get(w->e->content, "corrects"));
        const char *issued = json_string_value(json_object_get(w->e->settings, "corrects_issued"));

        if (!number || !*number)
                return;
        open_element(w, "cac:BillingReference");
        open_element(w, "cac:InvoiceDocumentReference");
        element(w, "cbc:ID", number);
        element(w, "cbc:IssueDate", issued ? issued : "");
        close_element(w);
        close_element(w);
}

/* Meters and their readings, or why a document is corrected (BT-22). */
static void notes(struct writer *w)
{
        const json_t *meters = json_object_get(w->e->content, "meters");
        const char *reason = json_string_value(json_object_get(w->e->content, "reason"));
        struct buf b = BUF_INIT;

        if (w->e->credit_note && reason)
                buf_put_str(&b, reason);
        for (size_t i = 0; i < json_array_size(meters); i++) {
                const json_t *m = json_array_get(meters, i);
                const char *start = json_string_value(json_object_get(m, "start"));
                const char *end = json_string_value(json_object_get(m, "end"));
                const char *serial = json_string_value(json_object_get(m, "serial"));

                buf_printf(&b, "%s%s", b.len ? "; " : "", serial ? serial : "");
                if (start && end)
                        buf_printf(&b, ": %s - %s", start, end);
        }
        element(w, "cbc:Note", buf_cstr(&b));
        if (b.failed)
                w->failed = true;
        buf_deinit(&b);
}

static void reference(struct writer *w, const char *name, const char *id, const char *type)
{
        if (!*id)
                return;
        open_element(w, name);
        element(w, "cbc:ID", id);
        element(w, "cbc:DocumentTypeCode", type);
        close_element(w);
}

static void head(struct writer *w)
{
        const struct einvoice *e = w->e;

        element(w, "cbc:CustomizationID", e->customization);
        element(w, "cbc:ProfileID", e->profile);
        element(w, "cbc:ID", e->number);
        element(w, "cbc:IssueDate", e->issued);
        if (!e->credit_note)
                element(w, "cbc:DueDate", e->due);
        element(w, e->credit_note ? "cbc:CreditNoteTypeCode" : "cbc:InvoiceTypeCode",
                e->credit_note ? "381" : "380");
        notes(w);
        element(w, "cbc:DocumentCurrencyCode", e->currency);
        element(w, "cbc:AccountingCost", content(w, "customer", "account"));
        element(w, "cbc:BuyerReference", e->buyer_reference);
        period(w);
        corrected(w);
        reference(w, "cac:ContractDocumentReference", content(w, "contract", "number"), "");
        /* The object invoiced (BT-18) is the supply point. */
        reference(w, "cac:AdditionalDocumentReference", content(w, "premise", "service_point"),
                  "130");
}

static void payment(struct writer *w)
{
        const char *iban = content(w, "payee", "iban");
        const char *account = *iban ? iban : content(w, "payee", "bank_account");

        open_element(w, "cac:PaymentMeans");
        if (!*account || w->e->credit_note) {
                element(w, "cbc:PaymentMeansCode", "1"); /* not defined: nothing to transfer */
                close_element(w);
                return;
        }
        element(w, "cbc:PaymentMeansCode", *iban ? "58" : "30"); /* SEPA, credit transfer */
        element(w, "cbc:PaymentID", w->e->number);
        open_element(w, "cac:PayeeFinancialAccount");
        element(w, "cbc:ID", account);
        element(w, "cbc:Name", content(w, "payee", "name"));
        if (*content(w, "payee", "bic")) {
                open_element(w, "cac:FinancialInstitutionBranch");
                element(w, "cbc:ID", content(w, "payee", "bic"));
                close_element(w);
        }
        close_element(w);
        close_element(w);
}

/* ---- amounts ---- */

static void category(struct writer *w, const char *name, const struct einvoice_category *c,
                     bool breakdown)
{
        char percent[DECIMAL_TEXT_SIZE];

        decimal_format(c->percent, 0, percent);
        open_element(w, name);
        element(w, "cbc:ID", c->id);
        if (strcmp(c->id, "O") != 0) /* BR-O-05 */
                element(w, "cbc:Percent", percent);
        if (breakdown) {
                element(w, "cbc:TaxExemptionReasonCode", c->reason_code);
                element(w, "cbc:TaxExemptionReason", c->reason);
        }
        open_element(w, "cac:TaxScheme");
        element(w, "cbc:ID", "VAT");
        close_element(w);
        close_element(w);
}

static void tax_total(struct writer *w)
{
        const struct einvoice *e = w->e;

        open_element(w, "cac:TaxTotal");
        money(w, "cbc:TaxAmount", e->tax);
        for (size_t i = 0; i < e->n_vat; i++) {
                open_element(w, "cac:TaxSubtotal");
                money(w, "cbc:TaxableAmount", e->vat[i].base);
                money(w, "cbc:TaxAmount", e->vat[i].tax);
                category(w, "cac:TaxCategory", &e->vat[i].category, true);
                close_element(w);
        }
        close_element(w);
}

static void totals(struct writer *w)
{
        const struct einvoice *e = w->e;

        open_element(w, "cac:LegalMonetaryTotal");
        money(w, "cbc:LineExtensionAmount", e->net);
        money(w, "cbc:TaxExclusiveAmount", e->net);
        money(w, "cbc:TaxInclusiveAmount", e->gross);
        if (e->prepaid != 0)
                money(w, "cbc:PrepaidAmount", e->prepaid);
        if (e->rounding != 0)
                money(w, "cbc:PayableRoundingAmount", e->rounding);
        money(w, "cbc:PayableAmount", e->due_amount);
        close_element(w);
}

/* ---- lines ---- */

static void quantity(struct writer *w, const char *name, const struct einvoice_line *l,
                     struct decimal q)
{
        char s[DECIMAL_TEXT_SIZE];

        decimal_format(q, 0, s);
        element_with(w, name, "unitCode", l->unit, s);
}

static void price(struct writer *w, const struct einvoice_line *l)
{
        char s[DECIMAL_TEXT_SIZE];

        decimal_format(l->price, 0, s);
        open_element(w, "cac:Price");
        element_with(w, "cbc:PriceAmount", "currencyID", w->e->currency, s);
        quantity(w, "cbc:BaseQuantity", l, l->base);
        close_element(w);
}

static void line(struct writer *w, size_t i)
{
        const struct einvoice_line *l = &w->e->lines[i];
        bool credit = w->e->credit_note;
        char id[24];

        snprintf(id, sizeof id, "%zu", i + 1);
        open_element(w, credit ? "cac:CreditNoteLine" : "cac:InvoiceLine");
        element(w, "cbc:ID", id);
        quantity(w, credit ? "cbc:CreditedQuantity" : "cbc:InvoicedQuantity", l, l->quantity);
        money(w, "cbc:LineExtensionAmount", l->amount);
        if (l->to_day > 0) {
                open_element(w, "cac:InvoicePeriod");
                day(w, "cbc:StartDate", l->from_day);
                day(w, "cbc:EndDate", l->to_day);
                close_element(w);
        }
        open_element(w, "cac:Item");
        element(w, "cbc:Name", l->name);
        if (*l->code) {
                open_element(w, "cac:SellersItemIdentification");
                element(w, "cbc:ID", l->code);
                close_element(w);
        }
        category(w, "cac:ClassifiedTaxCategory", &w->e->vat[l->vat].category, false);
        close_element(w);
        price(w, l);
        close_element(w);
}

static void document(struct writer *w)
{
        bool credit = w->e->credit_note;

        check(w, xmlTextWriterSetIndent(w->w, 1));
        check(w, xmlTextWriterStartDocument(w->w, "1.0", "UTF-8", NULL));
        open_element(w, credit ? "CreditNote" : "Invoice");
        attribute(w, "xmlns", credit ? UBL "CreditNote-2" : UBL "Invoice-2");
        attribute(w, "xmlns:cac", UBL "CommonAggregateComponents-2");
        attribute(w, "xmlns:cbc", UBL "CommonBasicComponents-2");
        head(w);
        party(w, "cac:AccountingSupplierParty", &w->e->seller, true);
        party(w, "cac:AccountingCustomerParty", &w->e->buyer, false);
        delivery(w);
        payment(w);
        tax_total(w);
        totals(w);
        for (size_t i = 0; i < w->e->n_lines; i++)
                line(w, i);
        close_element(w);
        check(w, xmlTextWriterEndDocument(w->w));
}

int einvoice_put_ubl(struct buf *out, const struct einvoice *e)
{
        xmlBufferPtr buffer = xmlBufferCreate();
        struct writer w = { .e = e, .w = buffer ? xmlNewTextWriterMemory(buffer, 0) : NULL };

        if (w.w) {
                document(&w);
                xmlFreeTextWriter(w.w);
                if (!w.failed)
                        buf_put(out, xmlBufferContent(buffer), (size_t)xmlBufferLength(buffer));
        }
        xmlBufferFree(buffer);
        return !w.w || w.failed || out->failed ? -ENOMEM : 0;
}

int einvoice_ubl(struct buf *out, const char *content, const char *settings,
                 char why[static EINVOICE_WHY_SIZE])
{
        json_error_t error;
        json_t *c = json_loads(content, 0, &error), *s = json_loads(settings, 0, &error);
        struct einvoice e;
        int rc = einvoice_build(&e, c, s, why);

        if (rc == 0) {
                rc = einvoice_put_ubl(out, &e);
                einvoice_deinit(&e);
        }
        json_decref(c);
        json_decref(s);
        return rc;
}
