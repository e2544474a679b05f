int io_placeholder(void);
int io_placeholder(void)
{
        return 0;
}
