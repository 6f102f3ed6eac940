/* An object without timers; linked with a plugin, it keeps that loaded. */
void start(void *shared, long ms);

void use_plugin(void)
{
	start(0, 0);
}
