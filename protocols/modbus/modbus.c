int modbus_placeholder(void);
int modbus_placeholder(void)
{
        return 0;
}
