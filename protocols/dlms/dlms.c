int dlms_placeholder(void);
int dlms_placeholder(void)
{
        return 0;
}
