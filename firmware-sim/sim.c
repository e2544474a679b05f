int sim_placeholder(void);
int sim_placeholder(void)
{
        return 0;
}
