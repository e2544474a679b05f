int collect_placeholder(void);
int collect_placeholder(void)
{
        return 0;
}
