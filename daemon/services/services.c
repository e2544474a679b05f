int services_placeholder(void);
int services_placeholder(void)
{
        return 0;
}
