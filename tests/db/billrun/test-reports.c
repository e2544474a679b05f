#define BILLING_FIXTURE_BILLOPS
#include "billing_fixture.h"
static void nothing(void)
{
        billing_open(1);
        fixture_free(f);
}
HR_TESTS("placeholder", { "opens", nothing })
