/* A 32-bit process that keeps a number, without a C library (which would have to be a 32-bit one):
 *   narrow MASKED
 */
static volatile unsigned data[2048] = {1};

static int call(int number, int a, int b, int c)
{
	int result;
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory");
	return result;
}

__attribute__((used)) void begin(char **words)
{
	static char line[32] = "ready ";
	char digits[16];
	unsigned masked = 0;
	int at = 6, count = 0;

	call(172, 1, 9, 0); /* prctl(PR_SET_PDEATHSIG, SIGKILL) */
	for (char *c = words[2]; *c; c++)
		masked = masked * 10 + (*c - '0');
	/* Byte by byte, so that it never is in a register, or from there on the stack. */
	for (int i = 0; i < 4; i++)
		((volatile unsigned char *)&data[1024])[i] = (masked >> 8 * i & 0xff) ^ 0x5a;
	for (int pid = call(20, 0, 0, 0); pid; pid /= 10)
		digits[count++] = '0' + pid % 10;
	while (count)
		line[at++] = digits[--count];
	line[at++] = '\n';
	call(4, 1, (int)line, at);
	for (;;)
		call(29, 0, 0, 0); /* pause */
}

__asm__(".globl _start\n_start:\n\tpush %esp\n\tcall begin\n");
