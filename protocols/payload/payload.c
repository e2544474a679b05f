int payload_placeholder(void);
int payload_placeholder(void)
{
        return 0;
}
