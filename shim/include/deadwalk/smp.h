/*
 * deadwalk: processors. To the program there is one: what is a processor's own is
 * everybody's. (The timer threads of the option `cpus` are more.)
 */
#ifndef DEADWALK_SMP_H
#define DEADWALK_SMP_H

#ifndef NR_CPUS
#define NR_CPUS 1
#endif
#ifndef smp_processor_id
#define smp_processor_id() 0
#define raw_smp_processor_id() 0
#define get_cpu() 0
#define put_cpu() ((void)0)
#endif
#ifndef num_online_cpus
#define num_online_cpus() 1
#define num_possible_cpus() 1
#define nr_cpu_ids 1
#define cpu_online(cpu) ((cpu) == 0)
#define for_each_online_cpu(cpu) for ((cpu) = 0; (cpu) < 1; (cpu)++)
#define for_each_possible_cpu(cpu) for_each_online_cpu(cpu)
#endif

#endif
